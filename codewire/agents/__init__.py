"""Which state an agent is in, told from what it says and shows. Pure: handed evidence and `now`."""
