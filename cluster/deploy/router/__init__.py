"""The HTTP front of a deployment: OpenAI-style requests spread over its replicas."""
