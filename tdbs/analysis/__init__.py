"""What runs cost and what they score: profiles, estimates, comparisons, sweeps, studies."""
