"""Rankings read from the rows: the first of a year, and where one volunteer or project stands.

Ranks are not stored. The follower replaces rows of touched volunteers and projects, and each generation has an index
for every order its rules rank by, so the first hundred are the index's first hundred, and a rank is a count of what
stands before. Under other axes the same follows from a replay in memory.
"""

from __future__ import annotations

from projections.ranking_rules import Ranking
from projections.rankings import Ranks, rank_projects, rank_volunteers
from replay.rows import Rows


def ranks(rows: Rows, ranking: Ranking, year: int) -> Ranks:
    """Rank everybody who reaches the minimums of a ranking in a year, by rows of a replay.

    Returns:
        names, object[n], in the order of their ranks (rank r is at r - 1); their figures of the year, int64[n, k];
        and the figures' keys. `ranking.places` says how many of them are honoured. The ranking of a year is
        `projections.rankings.rankings_of(timeline, year)[id]`.
    """
    if ranking.of == "volunteers":
        return rank_volunteers(rows.hours_volunteer, rows.hours, ranking, year)
    return rank_projects(rows.project, rows.projects, ranking, year)
