"""The relay: where nodes behind NAT are found and reached, and who may do what there.

A process of its own (`cw relay serve`). http/ answers requests and knows no sockets, store/ keeps
everything but live connections, uplinks/ has those, pages/ is what browsers see.
"""
