"""Send spans from a file of OTLP as JSON to a server that takes OTLP, such as MLflow or Langfuse.

python send_otlp.py otel.jsonl http://localhost:5000/v1/traces x-mlflow-experiment-id=1
python send_otlp.py otel.jsonl https://cloud.langfuse.com/api/public/otel/v1/traces "authorization=Basic ..."
"""

import base64
import json
import sys
from pathlib import Path

import httpx
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")


def protobuf(line):
    request = json.loads(line)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # JSON of OTLP has ids in hexadecimal, and that of Protobuf in base64.
                for name in filter(span.get, IDS):
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return ParseDict(request, ExportTraceServiceRequest()).SerializeToString()


def main():
    path, url, *pairs = sys.argv[1:]
    headers = {"content-type": "application/x-protobuf", **dict(pair.split("=", 1) for pair in pairs)}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        httpx.post(url, content=protobuf(line), headers=headers, timeout=60).raise_for_status()


if __name__ == "__main__":
    main()
