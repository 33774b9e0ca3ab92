
B
news