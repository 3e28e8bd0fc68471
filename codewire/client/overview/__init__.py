"""What people see of many sessions: states by their marks, times and sizes in few letters."""
