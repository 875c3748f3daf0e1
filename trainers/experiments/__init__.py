"""What the programs do: experiments on anomalies, features, patches, and the paper's figures."""
