"""What is learnt from pairs of a text and its translation: a vocabulary, a translator, word alignments, screens and scores."""
