"""The user guide's image: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-software-environment/image-spec

The builder `noop` builds nothing and takes the base image as it is, for which `skein up --image` names an environment; leave
it out where Docker is and a registry that takes what it builds. The data come from the network there.
"""

import io
import typing

import pandas as pd
import union

HEARTS = """age,thalach,trestbps,chol,oldpeak,target
63,150,145,233,2.3,0
67,108,160,286,1.5,1
"""

image_spec = union.ImageSpec(
    registry="ghcr.io/my-github-org",
    name="simple-example-image",
    base_image="ghcr.io/flyteorg/flytekit:py3.11-latest",
    requirements="requirements.txt",
    builder="noop",
)


@union.task(container_image=image_spec)
def get_pandas_dataframe() -> typing.Tuple[pd.DataFrame, pd.Series]:
    """Reads the hearts, and gives what was measured apart from what was found."""
    df = pd.read_csv(io.StringIO(HEARTS))
    print(df.head())
    return df[["age", "thalach", "trestbps", "chol", "oldpeak"]], df.pop("target")


@union.workflow()
def wf() -> typing.Tuple[pd.DataFrame, pd.Series]:
    """Gives both."""
    return get_pandas_dataframe()
