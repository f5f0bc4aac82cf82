"""The numbers behind the overview's charts."""

from functools import partial

from flask import Flask

from oneapi.models.usage import Sum
from oneapi.pages import charts

SUMS = [Sum(0, "a", 1, 10, 3, 4, 5, 1), Sum(0, "b", 2, 90, 1, 1, 1), Sum(60, "a", 1, 20, 1, 2, 3, 2)]


def test_sums_become_one() -> None:
    assert charts.total(SUMS) == Sum(0, "", 4, 120, 5, 7, 9, 3) and charts.total([]) == Sum(0, "", 0, 0, 0, 0, 0)


def test_models_are_ranked_by_all_their_buckets() -> None:
    assert charts.ranking(SUMS, lambda s: s.quota) == [
        ("b", Sum(0, "b", 2, 90, 1, 1, 1), 1), ("a", Sum(0, "a", 2, 30, 4, 6, 8, 3), 2),
    ]  # fmt: skip


def test_bars_stand_where_their_buckets_do(app: Flask) -> None:
    with app.test_request_context():
        ranked = charts.ranking(SUMS, lambda s: s.quota)
        draw = partial(charts.stacked, SUMS, [0, 60, 120], lambda s: s.quota, words=str, other="others", pattern="%H:%M")
        drawn = draw()
        assert drawn == draw(ranked=ranked)
    assert [row["cells"] for row in drawn.rows] == [["90.0", "10.0"], ["0.0", "20.0"], ["0.0", "0.0"]]
