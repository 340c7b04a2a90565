# Simulation-based residual tests of a fitted mixed model (paper §5.2: "passed residual normality,
# homoscedasticity, and other checks"; it names DHARMa 0.4.6 but not the tests, so all are reported).
#
# A scaled residual is the position of an observation among responses that the fitted model simulates, random
# effects drawn anew: uniform on (0, 1) where the model is right. DHARMa draws them anew up to 0.4.x; from 0.5.0
# on it must be asked to (`simulateREs`).
#
# Each test has two p-values.
#   p            by DHARMa's rule, which takes the residuals for independent
#   p_simulated  the same statistic's place among data sets that the fit itself simulated; this one allows for the
#                dependence that random effects drawn anew leave within a benchmark or ptlm

QUANTILES <- c(0.25, 0.5, 0.75) # DHARMa's testQuantiles

# Position of each value in its row of simulations: the share below it, ties broken at random as DHARMa does.
scaled_residuals <- function(values, simulations) {
  below <- rowMeans(simulations < values)
  up_to <- rowMeans(simulations <= values)
  ifelse(below == up_to, below, stats::runif(length(values), below, up_to))
}

ks_statistic <- function(residuals) {
  n <- length(residuals)
  ordered <- sort(residuals)
  max(seq_len(n) / n - ordered, ordered - (seq_len(n) - 1) / n)
}

# Largest KS statistic over the groups, weighted by the root of the group's size so that groups can be compared.
group_ks_statistic <- function(residuals, group) {
  max(vapply(split(residuals, group), function(part) sqrt(length(part)) * ks_statistic(part), 0))
}

levene_statistic <- function(residuals, group) {
  spread <- abs(residuals - stats::ave(residuals, group, FUN = stats::median))
  means <- stats::ave(spread, group)
  k <- nlevels(group)
  between <- sum((means - mean(spread))^2) / (k - 1)
  between / (sum((spread - means)^2) / (length(spread) - k))
}

# How far the shares below the three quantiles wander with the prediction: for each quantile the part of
# (below - quantile) that a parabola in the ranked prediction explains; the largest of the three.
quantile_statistic <- function(residuals, basis) {
  max(vapply(QUANTILES, function(q) {
    sum(crossprod(basis, (residuals < q) - q)^2) / (q * (1 - q))
  }, 0))
}

two_sided <- function(observed, simulated) {
  min(1, 2 * min(mean(simulated <= observed), mean(simulated >= observed)))
}

upper_tail <- function(observed, simulated) (1 + sum(simulated >= observed)) / (1 + length(simulated))

group_tests <- function(residuals, simulated, group, name) {
  each <- vapply(split(residuals, group), function(part) suppressWarnings(stats::ks.test(part, "punif")$p.value), 0)
  uniform <- list(
    test = paste0("uniformity_by_", name), statistic = group_ks_statistic(residuals, group),
    p = min(stats::p.adjust(each, "holm")),
    p_simulated = upper_tail(group_ks_statistic(residuals, group), apply(simulated, 2, group_ks_statistic, group)),
    what = sprintf("KS test in each %s, smallest p after Holm's correction", name)
  )
  observed <- levene_statistic(residuals, group)
  spread <- list(
    test = paste0("levene_by_", name), statistic = observed,
    p = stats::pf(observed, nlevels(group) - 1, length(residuals) - nlevels(group), lower.tail = FALSE),
    p_simulated = upper_tail(observed, apply(simulated, 2, levene_statistic, group)),
    what = sprintf("Levene's test (about the median) of equal spread over %ss", name)
  )
  list(uniform, spread)
}

# The tests of our own, after DHARMa 0.4.6's definitions.
own_tests <- function(model, data, simulations, seed) {
  responses <- as.matrix(stats::simulate(model, nsim = simulations, seed = seed)) # random effects drawn anew
  residuals <- scaled_residuals(data$score, responses)
  simulated <- vapply(seq_len(ncol(responses)), function(i) {
    scaled_residuals(responses[, i], responses[, -i, drop = FALSE])
  }, numeric(nrow(responses)))
  prediction <- stats::predict(model, type = "response", re.form = NA) # of the fixed effects alone

  spread <- function(values) stats::var(values - prediction) / stats::sd(responses)^2
  spreads <- apply(responses, 2, spread)
  edge <- 1 / (simulations + 1)
  outside <- function(values) sum(values < edge | values > 1 - edge)
  basis <- qr.Q(qr(cbind(1, stats::poly(rank(prediction), 2))))
  quantile <- quantile_statistic(residuals, basis)
  uniform <- suppressWarnings(stats::ks.test(residuals, "punif"))

  tests <- list(
    list(test = "uniformity", statistic = uniform$statistic[[1]], p = uniform$p.value,
         p_simulated = upper_tail(ks_statistic(residuals), apply(simulated, 2, ks_statistic)),
         what = "KS test of the scaled residuals against the uniform distribution (the paper's 'normality')"),
    list(test = "dispersion", statistic = spread(data$score) / mean(spreads), p = two_sided(spread(data$score), spreads),
         p_simulated = two_sided(spread(data$score), spreads),
         what = "variance about the prediction, observed over simulated"),
    list(test = "outliers", statistic = outside(residuals),
         p = stats::binom.test(outside(residuals), length(residuals), 2 * edge)$p.value,
         p_simulated = upper_tail(outside(residuals), apply(simulated, 2, outside)),
         what = "observations outside everything simulated, against a binomial count"),
    list(test = "quantiles", statistic = quantile, p = NA,
         p_simulated = upper_tail(quantile, apply(simulated, 2, quantile_statistic, basis)),
         what = "parabola of the share below the quartiles over the ranked prediction, calibrated by simulation; stands in for DHARMa's testQuantiles, which needs qgam")
  )
  for (name in c("benchmark", "ptlm")) {
    if (nlevels(data[[name]]) > 1) tests <- c(tests, group_tests(residuals, simulated, data[[name]], name))
  }
  list(residuals = residuals, tests = tests)
}

# The same tests by DHARMa itself; p_simulated is taken over from ours.
dharma_tests <- function(model, data, simulations, seed) {
  arguments <- list(model, n = simulations, seed = seed, plot = FALSE)
  if (utils::packageVersion("DHARMa") >= "0.5.0") arguments$simulateREs <- "user-specified" # as 0.4.6 did
  scaled <- do.call(DHARMa::simulateResiduals, arguments)
  test <- function(name, result) {
    list(test = name, statistic = if (is.null(result$statistic)) NA else result$statistic[[1]], p = result$p.value[[1]])
  }
  tests <- list(
    test("uniformity", DHARMa::testUniformity(scaled, plot = FALSE)),
    test("dispersion", DHARMa::testDispersion(scaled, plot = FALSE)),
    test("outliers", DHARMa::testOutliers(scaled, type = "binomial", plot = FALSE))
  )
  if (requireNamespace("qgam", quietly = TRUE)) {
    tests <- c(tests, list(test("quantiles", DHARMa::testQuantiles(scaled, plot = FALSE))))
  }
  for (name in c("benchmark", "ptlm")) if (nlevels(data[[name]]) > 1) {
    found <- DHARMa::testCategorical(scaled, data[[name]], plot = FALSE)
    tests <- c(tests, list(
      list(test = paste0("uniformity_by_", name), statistic = NA, p = min(found$uniformity$p.value.cor)),
      list(test = paste0("levene_by_", name), statistic = found$homogeneity[["F value"]][1],
           p = found$homogeneity[["Pr(>F)"]][1])
    ))
  }
  tests
}

# All tests. `implementation` says whose p-values stand under `p`; a test passes where p > 0.05 (p_simulated where
# there is no other). Uniformity within each benchmark and ptlm is shown but not judged: random effects drawn anew
# shift whole groups of residuals, so that its p is small for correct models too.
residual_tests <- function(model, data, simulations, seed) {
  implementation <- "own (simulate.glmmTMB, after DHARMa 0.4.6)"
  attempt <- capturing({
    set.seed(seed)
    own_tests(model, data, simulations, seed)
  })
  if (is.null(attempt$value)) {
    return(list(implementation = implementation, note = paste("no residual tests:", attempt$error), tests = list()))
  }
  tests <- attempt$value$tests
  note <- "random effects drawn anew in every simulation"
  if (requireNamespace("DHARMa", quietly = TRUE)) {
    theirs <- capturing(dharma_tests(model, data, simulations, seed))
    if (is.null(theirs$value)) {
      note <- paste0(note, "; DHARMa is installed but failed: ", theirs$error)
    } else {
      implementation <- paste("DHARMa", utils::packageVersion("DHARMa"))
      place <- match(vapply(theirs$value, function(t) t$test, ""), vapply(tests, function(t) t$test, ""))
      for (i in seq_along(place)) tests[[place[i]]][c("statistic", "p")] <- theirs$value[[i]][c("statistic", "p")]
    }
  } else note <- paste0(note, "; DHARMa is not installed")
  tests <- lapply(tests, function(t) c(t, list(
    judged = !startsWith(t$test, "uniformity_by_"), passed = isTRUE((if (is.na(t$p)) t$p_simulated else t$p) > 0.05)
  )))
  names(tests) <- vapply(tests, function(t) t$test, "")
  list(implementation = implementation, note = note, simulations = simulations, seed = seed, rule = "p > 0.05",
       passed = all(vapply(tests, function(t) t$passed || !t$judged, NA)),
       passed_simulated = all(vapply(tests, function(t) t$p_simulated > 0.05, NA)), tests = tests)
}
