"""A small language model."""

ARPA = """
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0\t<s>\t-0.3
-1.0\t</s>
-0.5\tlow\t-0.2
-0.6\thigh\t-0.1

\\2-grams:
-0.3\tlow high
-0.4\t<s> low

\\end\\
"""
