"""GPUs, links, engines and models as data files, and the code that reads them."""
