"""A collector of traces: OTLP over gRPC, as far as the tests look at it."""

import threading
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService"
BYTES, TEXT = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES, descriptor_pb2.FieldDescriptorProto.TYPE_STRING

# Message by message: each field's name and number, by opentelemetry/proto/trace/v1/trace.proto, with its type where it is
# no list of another message. What is left out is skipped as unknown.
MESSAGES: dict[str, list[tuple[str, int, Any]]] = {
    "AnyValue": [("string_value", 1, TEXT)],
    "KeyValue": [("key", 1, TEXT), ("value", 2, "AnyValue")],
    "Span": [
        ("trace_id", 1, BYTES),
        ("span_id", 2, BYTES),
        ("parent_span_id", 4, BYTES),
        ("name", 5, TEXT),
        ("attributes", 9, "[KeyValue]"),
    ],
    "ScopeSpans": [("spans", 2, "[Span]")],
    "ResourceSpans": [("scope_spans", 2, "[ScopeSpans]")],
    "ExportTraceServiceRequest": [("resource_spans", 1, "[ResourceSpans]")],
}


def request_type() -> Any:
    """The class of an export's message, made of the table above: flytekit brings no OTLP."""
    file = descriptor_pb2.FileDescriptorProto(name="collected.proto", package="collected", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            field = message.field.add(name=field_name, number=number, label=1)
            if isinstance(kind, str):
                field.label = 3 if kind.startswith("[") else 1
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = ".collected." + kind.strip("[]")
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("collected.ExportTraceServiceRequest"))


@dataclass(frozen=True)
class Span:
    """One span, its ids in hexadecimal digits as `traceparent` has them."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]


class Collector:
    """Listens on a port of its own until it is stopped, and keeps every span."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=request_type().FromString,
            response_serializer=lambda answer: answer,
        )
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(EXPORT, {"Export": export})]
        )
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _export(self, request: Any, _: grpc.ServicerContext) -> bytes:
        found = [
            Span(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                {attribute.key: attribute.value.string_value for attribute in span.attributes},
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += found
        return b""

    def spans(self, name: str = "", **attributes: str) -> list[Span]:
        """The spans of a name whose attributes are these, or paths with these parts; all without a name."""

        def fits(found: str, wanted: str) -> bool:
            return wanted == found or wanted in found.split("/")

        with self._lock:
            return [
                span
                for span in self._spans
                if name in ("", span.name)
                and all(fits(span.attributes.get(key, ""), wanted) for key, wanted in attributes.items())
            ]

    def stop(self) -> None:
        """Takes no more."""
        self._server.stop(0).wait()
