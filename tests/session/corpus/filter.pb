*j
and