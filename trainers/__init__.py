"""Programs and experiments: training, comparing, the paper's figures. They import the library."""
