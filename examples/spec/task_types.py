"""The user guide's Python task: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-types

Its data frame comes from scikit-learn there; here three wines are enough.
"""

import pandas as pd
import union


@union.task
def get_data() -> pd.DataFrame:
    """Gives some wines, and what kind each is of."""
    return pd.DataFrame({"alcohol": [14.23, 12.37, 13.05], "proline": [1065.0, 520.0, 515.0], "target": [0, 1, 2]})


@union.task
def kinds(wines: pd.DataFrame) -> list[int]:
    """Gives the kinds."""
    return [int(kind) for kind in wines["target"]]


@union.workflow
def wine_kinds() -> list[int]:
    """Hands the frame from one task to another."""
    return kinds(wines=get_data())
