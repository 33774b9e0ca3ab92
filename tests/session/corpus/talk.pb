*
a#:
a{"x": [1, 2, {"y": null}]}b
"hi"R
a8
BeB
aj
[true, false]m2
a