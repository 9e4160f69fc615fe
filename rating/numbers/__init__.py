"""What is known of a number beyond its shape: who serves it, where it is at home, how it is dialled here. 号码归属.

Face: `carriers` (tables kept in the process), `carrier_lookup` (a service outside), `ported`, `places`, `dialling`.
Reading a number as such is `rating.segments`; the shipped tables lie in `rating/data`.
"""
