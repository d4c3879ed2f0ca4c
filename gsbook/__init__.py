"""gsbook: what made the numbers of the open book on Gumbel-Softmax, and shows them."""
