"""Rank correlation, by which three papers of the theme are judged."""


def spearman(a, b) -> float:
    """Spearman's correlation of two sequences of numbers; equal values share their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
