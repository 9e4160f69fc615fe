"""The counter: who may use which service, what a use costs, and the only place where usage becomes money.

Owns organisations, bindings, service items and their prices, openings, resources, unit packs, service records.
Face for floors 3–4: client (gRPC). Face inside the process: directory, subscriptions, metering, packs, resources.
Invariants: (label, providerno) is one use; a use is charged once; its record, transfer, hold and packs commit together.
"""
