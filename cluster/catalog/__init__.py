"""GPUs, links, engines and models as data files, and what is read from them."""
