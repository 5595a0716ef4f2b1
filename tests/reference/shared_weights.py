"""K-means of numbers the slow way: every weight looks for its nearest centroid in every round, sums are fractions."""

from fractions import Fraction


def naive_shared_weights(weights, num_centroids):
    """Cluster of each weight, and the centroids as floats; zeros are in none, -1."""
    nonzeros = [Fraction(float(weight)) for weight in weights if weight != 0]
    low, high = min(nonzeros), max(nonzeros)
    centroids = [low + (high - low) * index / (num_centroids - 1) for index in range(num_centroids)]
    clusters = None
    while True:
        nearest = [
            min(range(num_centroids), key=lambda index: (abs(weight - centroids[index]), index)) for weight in nonzeros
        ]
        if nearest == clusters:
            break
        clusters = nearest
        for index in range(num_centroids):
            own = [weight for weight, cluster in zip(nonzeros, clusters, strict=True) if cluster == index]
            if own:
                centroids[index] = sum(own, Fraction(0)) / len(own)
    rest = iter(clusters)
    return [next(rest) if weight != 0 else -1 for weight in weights], [float(centroid) for centroid in centroids]
