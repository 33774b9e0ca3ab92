
J
news