"""What a person looks at: plots, summaries, TensorBoard."""
