"""The HTTP front end of a deployment: an OpenAI-compatible API, load-balanced over the replicas.

Request path: http_app -> access -> handlers -> request_body -> preparer (child processes) -> dispatch ->
answers -> response_writer.
"""
