#:
news{"text": "line\nbreak"}