"""I-vectors: the background model, the extractor, and the sets that they are made of."""
