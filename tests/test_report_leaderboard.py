import msgspec

import report_records as records
from wherry.domain import Estimate
from wherry.report.leaderboard import best_values, families, ranked


def test_the_winner_comes_first_and_the_rest_by_mrr():
    names = [c.name for c in ranked(records.candidates(), winner="rules")]
    assert names == ["rules", "knn", "gru4rec", "popularity"]
    assert [c.name for c in ranked(records.candidates())] == [
        "knn",
        "gru4rec",
        "rules",
        "popularity",
    ]


def test_a_candidate_that_failed_comes_last_even_as_the_winner():
    first, *others = records.candidates()
    failed = msgspec.structs.replace(first, error="no", metrics={})
    assert ranked([failed, *others], winner=failed.name)[-1] is failed


def test_metrics_stand_by_family_and_cutoff_with_unknown_ones_after():
    knn = records.candidates()[2]
    own = {"margin@3": Estimate(1, 1, 1), **knn.metrics}
    found = families([msgspec.structs.replace(knn, metrics=own)])
    assert list(found) == ["hr", "mrr", "ndcg", "coverage", "popularity", "margin"]
    assert found["hr"] == ("hr@5", "hr@10", "hr@20")


def test_the_best_value_is_the_highest_where_more_is_better():
    best = best_values(records.candidates())
    assert best["hr@20"] == 0.5931
    assert "popularity@20" not in best
