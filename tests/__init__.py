"""The suite: unit/ (pure rooms), io/ (real descriptors, twice), e2e/ (real `cw` processes)."""
