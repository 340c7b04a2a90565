# Successes and failures on benchmark items as a smooth curve in w_p (ours; it stands beside the paper's model, §5.2).
#
# data columns: successes, failures (numeric; whole numbers on benchmarks that score right or wrong), w_p (numeric),
# benchmark, ptlm, seed (text). Needs capturing(), glmmTMB_without_collection() and package_version_text() of glmm.R.
#
#   logit P(success) = curve(w_p) + level(ptlm, benchmark) + curve_b(w_p) + run(w_p | ptlm, seed) + luck(w_p | ptlm,
#                      seed, benchmark)
#
# curve    natural cubic spline: no shape is assumed; curve_b: a benchmark's own departure from it, at random
# run      what all benchmarks of a run share; luck: what a run has on one benchmark. Both are correlated along w_p
#          within a seed (Ornstein-Uhlenbeck: exp(-rate * distance in w_p)), because the runs of a seed share their
#          start and the order of their data

# Orthonormal basis of the natural splines over the distinct places, without the constant: f(w) and its derivatives.
curve_basis <- function(places, df) {
  places <- sort(unique(places))
  spline <- splines::ns(places, df = df)
  centre <- colMeans(spline)
  change <- solve(qr.R(qr(sweep(unclass(spline), 2, centre))))
  at <- function(w) sweep(unclass(stats::predict(spline, w)), 2, centre) %*% change
  step <- 1e-4
  list(
    value = at,
    slope = function(w) (at(w + step) - at(w - step)) / (2 * step),
    bend = function(w) (at(w + step) - 2 * at(w) + at(w - step)) / step^2
  )
}

# Right-hand side; a random term whose factor has a single level is left out.
item_formula <- function(data, columns) {
  several <- function(name) nlevels(data[[name]]) > 1
  parts <- c(
    columns,
    if (several("cell")) "(1 | cell)",
    if (several("benchmark")) sprintf("diag(0 + %s | benchmark)", paste(columns, collapse = " + ")),
    "ou(place + 0 | curve)",
    if (several("benchmark")) "ou(place + 0 | luck)"
  )
  stats::as.formula(paste("cbind(successes, failures) ~", paste(parts, collapse = " + ")))
}

# Covariance of the fixed effects given the variances, from the joint Hessian of fixed and random effects: unlike the
# full Hessian's it exists where a variance is zero.
fixed_covariance <- function(model) {
  inner <- model$obj$env
  joint <- TMB::MakeADFun(inner$data, inner$parList(par = inner$last.par.best), map = inner$map, DLL = "glmmTMB",
                          random = c("beta", "b"), silent = TRUE)
  free <- joint$env$random
  hessian <- as.matrix(joint$env$spHess(joint$env$par, random = TRUE))
  fixed <- which(names(joint$env$par)[free] == "beta")
  # Effects whose variance is zero (a precision beyond 1e10) are zero: they have no part in the uncertainty.
  kept <- union(fixed, which(diag(hessian) < 1e10))
  hessian <- hessian[kept, kept]
  scale <- 1 / sqrt(diag(hessian))
  places <- seq_along(fixed)
  (solve(hessian * outer(scale, scale), tol = 1e-30) * outer(scale, scale))[places, places, drop = FALSE]
}

FLAT <- 0.01 # largest gradient of the log-likelihood at a maximum

# SD of each random term, and for terms that are correlated along w_p the mean correlation of neighbouring places.
variance_table <- function(model) {
  blocks <- glmmTMB::VarCorr(model)$cond
  lapply(stats::setNames(nm = names(blocks)), function(name) {
    sd <- unname(attr(blocks[[name]], "stddev"))
    if (!name %in% c("curve", "luck")) return(list(sd = sd))
    first <- seq_along(sd)[-length(sd)]
    list(sd = sd[1], neighbours = mean(attr(blocks[[name]], "correlation")[cbind(first, first + 1)]))
  })
}

# Spans of the grid where `keep` holds, as list(low, high).
spans <- function(grid, keep) {
  runs <- rle(keep)
  ends <- cumsum(runs$lengths)
  starts <- ends - runs$lengths + 1
  lapply(which(runs$values), function(i) list(low = grid[starts[i]], high = grid[ends[i]]))
}

# knots    degrees of freedom of the spline; grid: places in w_p that are searched
# samples  draws from the curve's distribution; seed: of the draws; alpha: 1 - alpha is the level of the intervals
fit_items <- function(data, grid = seq(0, 1, 0.01), df = 4, samples = 2000, seed = 123, alpha = 0.05) {
  for (name in c("benchmark", "ptlm", "seed")) data[[name]] <- factor(as.character(data[[name]]))
  data$cell <- interaction(data$ptlm, data$benchmark, drop = TRUE)
  data$curve <- interaction(data$ptlm, data$seed, drop = TRUE)
  data$luck <- interaction(data$curve, data$benchmark, drop = TRUE)
  data$place <- glmmTMB::numFactor(data$w_p)
  basis <- curve_basis(data$w_p, df)
  columns <- paste0("z", seq_len(df))
  data[columns] <- as.data.frame(basis$value(data$w_p))
  formula <- item_formula(data, columns)
  glmmTMB <- glmmTMB_without_collection()
  fit <- function(profile) {
    capturing(glmmTMB(formula, data = data, family = stats::binomial(), se = FALSE,
                      control = glmmTMB::glmmTMBControl(profile = profile)))
  }
  attempt <- fit(TRUE) # faster; its last step fails where a variance is zero
  if (is.null(attempt$value)) attempt <- fit(FALSE)
  said <- attempt$warnings[!grepl("non-integer (#successes|counts)", attempt$warnings)] # graded scores: on purpose
  result <- list(formula = paste(deparse(formula, width.cutoff = 500), collapse = " "), error = attempt$error,
                 warnings = as.list(said), n = nrow(data), converged = FALSE)
  model <- attempt$value
  if (is.null(model)) return(result)
  covariance <- capturing(fixed_covariance(model))
  if (is.null(covariance$value)) {
    result$error <- paste("no standard errors:", covariance$error)
    return(result)
  }
  estimate <- unname(glmmTMB::fixef(model)$cond)[-1]
  v <- covariance$value[-1, -1, drop = FALSE]
  freedom <- max(nlevels(data$benchmark) - 1, 1)
  statistic <- drop(estimate %*% solve(v, estimate)) / df
  limit <- stats::qt(1 - alpha / 2, freedom)
  ratio <- function(b) drop(b %*% estimate) / sqrt(rowSums((b %*% v) * b))
  slope <- ratio(basis$slope(grid))
  bend <- ratio(basis$bend(pmin(pmax(grid, 2e-4), 1 - 2e-4)))
  last <- length(grid)
  keep <- abs(slope) <= limit & bend <= limit # a maximum's slope is zero, and it does not open upward
  keep[1] <- slope[1] <= limit # at a border the curve may fall away from it
  keep[last] <- slope[last] >= -limit
  b <- basis$value(grid)
  set.seed(seed)
  scale <- sqrt(freedom / stats::rchisq(samples, freedom))
  noise <- matrix(stats::rnorm(samples * df), samples) %*% chol(v) * scale
  tops <- function(draws) max.col(draws %*% t(b), ties.method = "first")
  inside <- function(places) mean(places > 1 & places < last)
  drawn <- tops(sweep(noise, 2, estimate, "+"))
  error <- sqrt(rowSums((b %*% v) * b))
  curve <- drop(b %*% estimate)
  # nlminb also complains where a variance is at zero; there the gradient tells a maximum from a failure.
  result$converged <- identical(as.integer(model$fit$convergence), 0L) || max(abs(model$obj$gr(model$fit$par))) < FLAT
  c(result, list(
    message = model$fit$message, loglik = -model$fit$objective,
    test = list(statistic = statistic, df = c(df, freedom), p = stats::pf(statistic, df, freedom, lower.tail = FALSE)),
    optimum = list(w_p = grid[which.max(curve)], set = spans(grid, keep), inside = inside(drawn),
                   inside_if_flat = inside(tops(noise)),
                   draws = as.list(stats::quantile(grid[drawn], c(alpha / 2, 0.5, 1 - alpha / 2), type = 1, names = FALSE))),
    curve = list(w_p = grid, logit = curve - mean(curve), se = error),
    variances = variance_table(model),
    versions = list(R = paste(R.version$major, R.version$minor, sep = "."), glmmTMB = package_version_text("glmmTMB"))
  ))
}
