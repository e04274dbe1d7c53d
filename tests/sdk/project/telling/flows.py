"""A workflow that succeeds or fails as it is told, and launch plans that name whom to tell."""

import time

from flytekit import Email, LaunchPlan, PagerDuty, Slack, WorkflowExecutionPhase, task, workflow

FAILED = [WorkflowExecutionPhase.FAILED]
ENDED = [
    WorkflowExecutionPhase.SUCCEEDED,
    WorkflowExecutionPhase.FAILED,
    WorkflowExecutionPhase.ABORTED,
    WorkflowExecutionPhase.TIMED_OUT,
]


@task
def spin(wool: int) -> int:
    """Fails without wool; with less than none it waits for some, for longer than any test does."""
    if wool < 0:
        time.sleep(600)
    if wool == 0:
        raise ValueError("no wool left")
    return wool


@workflow
def spinning(wool: int) -> int:
    """Spins."""
    return spin(wool=wool)


told = LaunchPlan.create(
    "telling.told",
    spinning,
    notifications=[
        Email(phases=FAILED, recipients_email=["shepherd@example.org", "moved@example.org"]),
        Slack(phases=ENDED, recipients_email=["flock@slack.example"]),
        PagerDuty(phases=FAILED, recipients_email=["night@pagerduty.example"]),
    ],
)

quiet = LaunchPlan.create("telling.quiet", spinning)


@workflow
def within(wool: int) -> int:
    """Spins as a part of its own, and once more as an execution of its own."""
    return told(wool=spinning(wool=wool))


apart = LaunchPlan.create("telling.apart", within)
