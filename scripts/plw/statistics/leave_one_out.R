# The paper's mixed model without each benchmark in turn: whether one of them alone makes the critical weight (§5.2).
# Needs glmm.R. The response stays as it is, because scores are min-max scaled within a benchmark.

without_benchmark <- function(data, name, basis, squeeze, alpha, optimizers) {
  if (!is.na(name)) data <- droplevels(data[data$benchmark != name, ])
  data$score <- squeeze_scores(data$score, squeeze)
  terms <- model_terms(data, "full", basis)
  fitted <- fit_ladder(model_formula(terms), data, optimizers)
  row <- list(left_out = if (is.na(name)) NULL else name, converged = fitted$flags$converged,
              optimizer = fitted$flags$optimizer,
              warnings = as.list(c(unlist(fitted$flags$warnings), fitted$flags$error)))
  if (is.null(fitted$model)) return(row)
  raw <- raw_coefficients(fitted$model, data, basis)
  critical <- critical_plw(raw, alpha)
  c(row, list(
    vertex_w_p = critical$vertex$w_p, plw = critical$plw, is_maximum = critical$is_maximum, b1 = raw$estimate[["w_p"]],
    b2 = raw$estimate[["w_p2"]], intercept = raw$estimate[["intercept"]],
    p_wald = wald_test(fitted$model, terms, nlevels(data$benchmark))$p
  ))
}

# First the fit to all benchmarks (left_out null), then one row for each that is left out. The optimiser that got
# through the whole data is tried first on its parts: where the other one fails, it fails slowly.
leave_one_out <- function(data, poly = "raw", squeeze = "smithson_verkuilen", alpha = 0.05) {
  data <- prepare_data(data)
  whole <- without_benchmark(data, NA, poly, squeeze, alpha, names(OPTIMIZERS))
  optimizers <- union(whole$optimizer, names(OPTIMIZERS))
  c(list(whole), lapply(levels(data$benchmark), function(name) {
    without_benchmark(data, name, poly, squeeze, alpha, optimizers)
  }))
}
