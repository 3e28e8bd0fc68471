"""The peer RPC's server: who comes in, what is asked, by which grant or delegation."""
