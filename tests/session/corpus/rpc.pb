
j
1add