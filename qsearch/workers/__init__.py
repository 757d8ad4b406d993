"""Trials on several processes or machines, by Dask Distributed (https://distributed.dask.org; extra `distributed`)."""
