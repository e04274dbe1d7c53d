"""A task with a pod template; registered where the SDK finds the client of Kubernetes."""

from flytekit import PodTemplate, task
from kubernetes.client import V1Container, V1PodSpec, V1Toleration

PLACE = PodTemplate(
    primary_container_name="main",
    labels={"team": "waders"},
    pod_spec=V1PodSpec(
        containers=[V1Container(name="main"), V1Container(name="beside", image="localhost/beside:1")],
        node_selector={"disk": "ssd"},
        tolerations=[V1Toleration(key="gpu", operator="Exists")],
    ),
)


@task(pod_template=PLACE, pod_template_name="base")
def podded(x: int) -> int:
    """Wants a certain node, and a container beside its own."""
    return x
