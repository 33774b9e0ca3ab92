
2
news