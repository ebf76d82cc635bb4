"""Phones as hidden Markov models: topology, context tree, and graphs of phones and pdfs."""
