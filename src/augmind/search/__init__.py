"""Bayesian search of the augmentation policy: what may be decided, what a policy is worth, who asks and who wins.

A policy is scored on inner folds of a fold's training rows alone, with generators that learnt from the inner training part.
"""
