"""Read quantization_config: the storage format of every module, and the modules left unquantized."""
