"""The run-time check of labkit's annotations: beartype, with an int welcome where a float is (PEP 484)."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
