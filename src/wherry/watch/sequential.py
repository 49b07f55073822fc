"""Sequential tests: looked at as often as one likes, they err no oftener than they say.

Two kinds. :func:`compare` holds the share of a challenger's answers with some mark (a click, a
slow answer) against the champion's, by an asymptotic confidence sequence. :func:`evidence_above`
holds a share against a bound, by an e-process, which is exact.

The unit is the visitor. One visitor's answers are alike, so the variance is that of visitors'
sums, not of answers. A visitor that was seen goes on giving answers; the sums only become more
alike to what they were, so the boundary for independent steps is crossed no oftener than
promised (by Slepian's inequality: the sums at two moments correlate at least as strongly).
"""

from __future__ import annotations

from math import exp, inf, isinf, log, log1p, sqrt

import msgspec

MIN_MARKS = 25.0
"""How many marked answers are expected of each part before a comparison says anything.

The confidence sequence is asymptotic: with fewer, a sum of marks is not normal enough."""

_MULTIPLES = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""How many times the bound the alternatives of :func:`evidence_above` are."""


class Tally(msgspec.Struct, frozen=True):
    """What one part's visitors sum up to.

    ``answers`` and ``marks`` are summed over ``visitors``; ``aa``, ``am`` and ``mm`` are the sums
    of each visitor's products: answers², answers times marks, marks².
    """

    visitors: int = 0
    answers: float = 0.0
    marks: float = 0.0
    aa: float = 0.0
    am: float = 0.0
    mm: float = 0.0

    @property
    def share(self) -> float:
        """Marks an answer; 0 where there are none."""
        return self.marks / self.answers if self.answers else 0.0

    def squares(self, share: float) -> float:
        """The sum of squares of what each visitor's marks differ from that share of answers."""
        return max(self.mm - 2.0 * share * self.am + share * share * self.aa, 0.0)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The challenger's share against the champion's, relative to the champion's.

    ``difference`` is -0.2 where it is a fifth less. The true one is above ``low`` at all times
    but for a chance of ``alpha``, and below ``high`` likewise. Before there is enough to say
    anything they are infinite.
    """

    challenger: float
    champion: float
    difference: float = 0.0
    low: float = -inf
    high: float = inf

    @property
    def says_anything(self) -> bool:
        """Whether there was enough to compare."""
        return not isinf(self.high)


def compare(challenger: Tally, champion: Tally, *, alpha: float, effect: float) -> Comparison:
    """Compare two parts by a confidence sequence for the difference of their shares.

    The boundary is a one-sided normal mixture's, with the variance estimated from both parts
    together, as it is where they are equal: a part with by chance few marks has by chance also
    little variance of its own, and would be told apart too often. ``effect`` is the relative
    difference that the mixture looks for; at others it needs somewhat more visitors.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
    asymptotic confidence sequences" (Annals of Statistics, 2024), the one-sided sequence of
    their appendix; Robbins, "Statistical methods related to the law of the iterated logarithm"
    (1970) for the mixture.
    """
    shares = Comparison(challenger=challenger.share, champion=champion.share)
    answers = challenger.answers + champion.answers
    if not challenger.answers or not champion.answers:
        return shares
    pooled = (challenger.marks + champion.marks) / answers
    if min(challenger.answers, champion.answers) * pooled < MIN_MARKS or not champion.marks:
        return shares
    square = (challenger.squares(pooled) + champion.squares(pooled)) / answers
    error = sqrt(square * (1.0 / challenger.answers + 1.0 / champion.answers))
    reach = radius(error, effect * pooled, alpha)
    apart = challenger.share - champion.share
    return Comparison(
        challenger=challenger.share,
        champion=champion.share,
        difference=apart / champion.share,
        low=max((apart - reach) / champion.share, -1.0),
        high=(apart + reach) / champion.share,
    )


def radius(error: float, scale: float, alpha: float) -> float:
    """How far an estimate of standard error ``error`` may be off to one side, at all times.

    ``scale`` is the standard deviation of the mixture, in the estimate's unit. With
    t = (scale / error)², the radius is error √(2 (1 + 1/t) log(1 + √(1 + t) / (2 alpha))).

    >>> radius(0.1, 0.2, 0.05) > 1.645 * 0.1  # more than a test that is looked at once
    True
    """
    if error == 0.0:
        return 0.0
    t = (scale / error) ** 2
    return error * sqrt(2.0 * (1.0 + 1.0 / t) * log1p(sqrt(1.0 + t) / (2.0 * alpha)))


def evidence_above(marked: int, visitors: int, bound: float) -> float:
    """The evidence that more than ``bound`` of visitors are marked: an e-value, 1 for none.

    Where at most so many are, it ever reaches 1/alpha with a chance of at most alpha, however
    often it is looked at. A visitor counts once it was seen, and is marked once it met the first
    mark; since marks only come, an early look never has too much evidence.

    It is a mean of likelihood ratios against fixed alternatives (Wald, 1945; Ville's inequality;
    Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference",
    Statistical Science, 2023).
    """
    if not 0.0 < bound < 1.0:
        return inf if marked and bound <= 0.0 else 1.0
    alternatives = [share for share in (bound * each for each in _MULTIPLES) if share < 1.0]
    alternatives = alternatives or [(1.0 + bound) / 2.0]
    logs = [
        marked * log(share / bound) + (visitors - marked) * log((1.0 - share) / (1.0 - bound))
        for share in alternatives
    ]
    highest = max(logs)
    if highest > 700.0:
        return inf
    return sum(exp(each) for each in logs) / len(logs)
