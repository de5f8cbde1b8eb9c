"""The router in front of engine servers: a reverse proxy that passes requests and answers on unchanged.

Request path: relay -> paths -> forwarder (balancer, retries) -> exchange -> server_replica (HTTP client).
Answers come back the same way, and answer_reader counts their tokens as they pass.
"""
