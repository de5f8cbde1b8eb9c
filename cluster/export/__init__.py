"""A plan as commands and files for elsewhere: vLLM, SGLang, Ray Serve, KubeRay, LeaderWorkerSet, Compose."""
