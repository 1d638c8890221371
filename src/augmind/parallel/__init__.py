"""The whole job for texts beside their translations: real, noise, back-translation and all, compared by chrF and BLEU. See decision 0006."""
