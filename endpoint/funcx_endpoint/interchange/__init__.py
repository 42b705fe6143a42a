"""The endpoint's agent: leases tasks from the forwarder and on to managers.

`state` and `dispatch` decide; `process` performs what they decide with the help of `uplink` (the forwarder's three
channels), `floor` (the managers' one), `spool` (results on disk until acknowledged) and `recovery` (what the dead left).
"""
