"""Classical transforms that suit every kind of data; each modality has its own in its folder."""
