# Beta-regression mixed models of benchmark scores on the transformed prompt loss weight (paper §5.2, App. E.3).
#
# Plain functions: a data frame in, a list out that to_json() (json.R) can print. The library starts them through
# rpy2; `Rscript run_glmm.R` runs the same functions without Python.
#
# data columns: score (numeric, 0..1), w_p (numeric, 0..1), benchmark, ptlm, seed (text or factor); and, if some are,
# constant (1 where all runs score the same on the row's benchmark, else 0): such rows stand at 0.5, say nothing about
# w_p and are left out of every fit but the sensitivity row that has them in.
#
# Paper: score ~ pol(w_p, 2) + (0 + pol(w_p, 2) | b) + (1 | m), glmmTMB, beta family, one model per data set.
# The basis must be raw: only then do Table 3's coefficients have the vertex that §5.2 computes from them.

POWER <- 0.30103 # §4.1

# ---- response -------------------------------------------------------------------------------------------------

# Move scores of exactly 0 and 1 into the open interval, which is all that a beta density covers.
# Min-max scaling gives every benchmark at least one 0 and one 1, and the paper does not say what it did with them.
#   smithson_verkuilen  (y (n - 1) + 1/2) / n   Smithson & Verkuilen 2006
#   clamp_E             y limited to [E, 1 - E], e.g. clamp_0.01
#   pad_E               (y + E) / (1 + 2 E), min-max scaling over a slightly wider range
#   none                untouched; glmmTMB stops at a 0 or 1
squeeze_scores <- function(score, rule) {
  n <- length(score)
  epsilon <- suppressWarnings(as.numeric(sub("^(clamp|pad)_", "", rule)))
  if (grepl("^(clamp|pad)", rule) && !isTRUE(epsilon > 0 && epsilon < 0.5)) stop("no margin in (0, 0.5): ", rule)
  switch(sub("^(clamp|pad)_.*", "\\1", rule),
    smithson_verkuilen = (score * (n - 1) + 0.5) / n,
    clamp = pmin(pmax(score, epsilon), 1 - epsilon),
    pad = (score + epsilon) / (1 + 2 * epsilon),
    none = score,
    stop("unknown squeeze rule: ", rule)
  )
}

# ---- formulas -------------------------------------------------------------------------------------------------

REDUCED <- c("intercepts", "slope", "fixed_ptlm") # "we tried reducing the complexity", §5.2; the paper names none

# Right-hand sides of the model, of the models that the paper calls 'reduced', and of their null models.
# A term whose factor has a single level is left out, because its variance could not be estimated; `dropped` says so.
#   full         (0 + poly | benchmark) + (1 | ptlm)
#   intercepts   (1 | benchmark) + (1 | ptlm)
#   slope        (0 + w_p | benchmark) + (1 | ptlm)
#   with_intercept  (1 + poly | benchmark) + (1 | ptlm): the same fit in any basis
#   fixed_ptlm   (0 + poly | benchmark), ptlm as a fixed factor
#   by_cell      (0 + poly | benchmark) + (1 | ptlm:benchmark): a level for each ptlm on each benchmark. Ours: the
#                paper's (1 | ptlm) takes a ptlm for as good on one benchmark as on any other
model_terms <- function(data, structure, basis) {
  poly_term <- sprintf("poly(w_p, 2, raw = %s)", if (basis == "raw") "TRUE" else "FALSE")
  benchmark_term <- switch(structure,
    full = , by_cell = , fixed_ptlm = sprintf("(0 + %s | benchmark)", poly_term),
    with_intercept = sprintf("(1 + %s | benchmark)", poly_term),
    intercepts = "(1 | benchmark)",
    slope = "(0 + w_p | benchmark)",
    stop("unknown model structure: ", structure)
  )
  ptlm_term <- switch(structure, fixed_ptlm = "ptlm", by_cell = "(1 | ptlm:benchmark)", "(1 | ptlm)")
  terms <- c(benchmark = benchmark_term, ptlm = ptlm_term, seed = "(1 | seed)")
  levels <- vapply(names(terms), function(name) nlevels(data[[name]]), 0L)
  single <- levels < 2
  list(
    poly = poly_term,
    others = unname(terms[!single]),
    # One seed is the paper's design, not a term that had to go.
    dropped = lapply(names(terms)[single & names(terms) != "seed"], function(name) {
      sprintf("%s left out: there is only one %s", terms[[name]], name)
    })
  )
}

model_formula <- function(terms, with_poly = TRUE) {
  parts <- c(if (with_poly) terms$poly else "1", terms$others)
  stats::as.formula(paste("score ~", paste(parts, collapse = " + ")))
}

# ---- one fit --------------------------------------------------------------------------------------------------

# Evaluate an expression; return its value with every warning and error as text.
capturing <- function(expression) {
  warnings <- character()
  error <- NULL
  value <- withCallingHandlers(
    tryCatch(expression, error = function(e) {
      error <<- conditionMessage(e)
      NULL
    }),
    warning = function(w) {
      warnings <<- c(warnings, conditionMessage(w))
      invokeRestart("muffleWarning")
    }
  )
  list(value = value, warnings = unique(warnings), error = error)
}

OPTIMIZERS <- list( # glmmTMB's default first, as in the paper; the second is tried only where the first fails
  nlminb = list(),
  BFGS = list(optimizer = stats::optim, optArgs = list(method = "BFGS"))
)

# Two optimisers that found the same maximum agree to about 1e-6; one that stopped 0.01 below another one's has not
# found it, whatever its Hessian says (it then often stands beside a singular optimum).
SAME_MAXIMUM <- 1e-4

# The optimiser's maximum itself: stats::logLik() hides it where the Hessian is not positive definite.
log_likelihood <- function(model) if (is.null(model)) NA else -model$fit$objective

# glmmTMB::glmmTMB without the garbage collection that system.time() begins with: glmmTMB times every optimisation, and
# on a few hundred rows the collection takes longer than the fit. R still collects where it has to.
glmmTMB_without_collection <- function() {
  around <- new.env(parent = asNamespace("glmmTMB"))
  around$system.time <- function(expr, ...) base::system.time(expr, gcFirst = FALSE)
  for (name in c("fitTMB", "glmmTMB")) {
    around[[name]] <- get(name, asNamespace("glmmTMB"))
    environment(around[[name]]) <- around
  }
  around$glmmTMB
}

fit_once <- function(formula, data, optimizer, se = TRUE) {
  control <- do.call(glmmTMB::glmmTMBControl, OPTIMIZERS[[optimizer]])
  glmmTMB <- glmmTMB_without_collection()
  attempt <- capturing(glmmTMB(
    formula, data = data, family = glmmTMB::beta_family(link = "logit"), control = control, se = se
  ))
  model <- attempt$value
  flags <- list(
    optimizer = optimizer,
    optimizer_code = if (is.null(model)) NA else model$fit$convergence,
    optimizer_message = if (is.null(model)) NA else model$fit$message,
    pd_hessian = se && !is.null(model) && isTRUE(model$sdr$pdHess),
    finite_se = FALSE,
    loglik = log_likelihood(model),
    singular = if (is.null(model)) NA else is_singular(model),
    warnings = as.list(attempt$warnings),
    error = attempt$error
  )
  if (!is.null(model) && se) {
    errors <- capturing(sqrt(diag(stats::vcov(model)$cond)))$value
    flags$finite_se <- !is.null(errors) && all(is.finite(errors))
  }
  # Any one of these marks a fit as not converged; the paper prints such fits and says so (Table 3).
  flags$converged <- identical(as.integer(flags$optimizer_code), 0L) && length(flags$warnings) == 0 &&
    is.null(flags$error) && (!se || (flags$pd_hessian && flags$finite_se))
  list(model = model, flags = flags)
}

# Fit with each optimiser in turn until one converges; otherwise keep the first that gave a model at all.
# An optimiser that stops without complaint below the likelihood that another one reached has not converged either.
fit_ladder <- function(formula, data, optimizers = names(OPTIMIZERS)) {
  attempts <- list()
  for (optimizer in optimizers) {
    attempt <- fit_once(formula, data, optimizer)
    best <- suppressWarnings(max(vapply(attempts, function(a) a$flags$loglik, 0), na.rm = TRUE))
    if (attempt$flags$converged && attempt$flags$loglik < best - SAME_MAXIMUM) {
      attempt$flags$converged <- FALSE
      attempt$flags$warnings <- list(sprintf("stopped at log-likelihood %.5f, below %.5f of another optimiser",
                                             attempt$flags$loglik, best))
    }
    attempts[[optimizer]] <- attempt
    if (attempt$flags$converged) break
  }
  converged <- vapply(attempts, function(a) a$flags$converged, NA)
  usable <- vapply(attempts, function(a) !is.null(a$model), NA)
  chosen <- if (any(converged)) which(converged)[1] else if (any(usable)) which(usable)[1] else 1L
  list(model = attempts[[chosen]]$model, flags = attempts[[chosen]]$flags,
       attempts = unname(lapply(attempts, function(a) a$flags)))
}

# ---- what a fit says ------------------------------------------------------------------------------------------

# Fixed effects as coefficients of 1, w_p and w_p^2, whatever the basis, with their covariance.
raw_coefficients <- function(model, data, basis) {
  places <- 1:3 # intercept and the two polynomial columns; a fixed ptlm comes after them
  estimate <- glmmTMB::fixef(model)$cond[places]
  covariance <- stats::vcov(model)$cond[places, places]
  if (basis != "raw") {
    at <- c(0, 0.5, 1) # a parabola is known from any three points
    orthogonal <- cbind(1, stats::predict(stats::poly(data$w_p, 2), at))
    change <- solve(cbind(1, at, at^2), orthogonal)
    estimate <- drop(change %*% estimate)
    covariance <- change %*% covariance %*% t(change)
  }
  labels <- c("intercept", "w_p", "w_p2")
  list(estimate = stats::setNames(as.numeric(estimate), labels),
       covariance = matrix(as.numeric(covariance), 3, 3, dimnames = list(labels, labels)))
}

coefficient_table <- function(raw, alpha) {
  lapply(stats::setNames(nm = names(raw$estimate)), function(name) {
    estimate <- raw$estimate[[name]]
    se <- suppressWarnings(sqrt(raw$covariance[name, name]))
    half <- stats::qnorm(1 - alpha / 2) * se
    list(estimate = estimate, se = se, ci_low = estimate - half, ci_high = estimate + half,
         z = estimate / se, p = 2 * stats::pnorm(-abs(estimate / se)))
  })
}

# Fieller's set of the vertex in w_p (Fieller 1954): all v for which b1 + 2 v b2 = 0 is not rejected. Where the bend is
# not clear of zero it is no interval but two rays or everything. `inside` is what of it lies in [0, 1].
fieller_set <- function(raw, alpha) {
  b <- raw$estimate[c("w_p", "w_p2")]
  v <- raw$covariance[2:3, 2:3] # of intercept, w_p, w_p2
  q <- stats::qnorm(1 - alpha / 2)^2
  a <- b[[2]]^2 - q * v[2, 2] # 4 a x^2 + 4 h x + c <= 0
  h <- b[[1]] * b[[2]] - q * v[1, 2]
  c0 <- b[[1]]^2 - q * v[1, 1]
  if (!all(is.finite(c(a, h, c0))) || a == 0) return(list(kind = NA, inside = list()))
  root <- h^2 - a * c0
  ends <- if (root >= 0) sort((-h + c(-1, 1) * sqrt(root)) / (2 * a))
  kind <- if (root < 0) "everything" else if (a > 0) "interval" else "two rays"
  parts <- switch(kind, everything = list(c(0, 1)), interval = list(ends), list(c(0, ends[1]), c(ends[2], 1)))
  parts <- Filter(function(part) part[1] <= part[2], lapply(parts, function(part) c(max(part[1], 0), min(part[2], 1))))
  list(kind = kind, inside = lapply(parts, function(part) list(low = part[1], high = part[2])))
}

# Vertex of the fitted parabola in w_p, and the PLW that belongs to it (the paper's critical lambda, §5.2).
# Its interval is the delta method's in w_p, cut to [0, 1] and then carried over by the inverse transform, which
# is monotone; carried over first it could leave [0, 1] on the scale of the weights. Where b2's own interval includes
# zero the delta method is no approximation of anything: then it is the hull of Fieller's set in [0, 1].
critical_plw <- function(raw, alpha) {
  b <- raw$estimate
  vertex <- -b[["w_p"]] / (2 * b[["w_p2"]])
  gradient <- c(0, -1 / (2 * b[["w_p2"]]), b[["w_p"]] / (2 * b[["w_p2"]]^2))
  se <- suppressWarnings(sqrt(drop(t(gradient) %*% raw$covariance %*% gradient)))
  bounds <- vertex + c(-1, 1) * stats::qnorm(1 - alpha / 2) * se
  value <- b[["intercept"]] - b[["w_p"]]^2 / (4 * b[["w_p2"]])
  maximum <- isTRUE(b[["w_p2"]] < 0)
  inside <- isTRUE(vertex > 0 && vertex < 1)
  fieller <- fieller_set(raw, alpha)
  clear <- isTRUE(abs(b[["w_p2"]]) > stats::qnorm(1 - alpha / 2) * sqrt(max(raw$covariance[3, 3], 0)))
  shown <- bounds
  if (!clear && length(fieller$inside)) shown <- range(unlist(fieller$inside))
  if (!clear && !length(fieller$inside)) shown <- c(NA, NA)
  plw <- pmin(pmax(shown, 0), 1)^(1 / POWER)
  predicted <- function(w) stats::plogis(b[["intercept"]] + b[["w_p"]] * w + b[["w_p2"]] * w^2)
  spans <- vapply(fieller$inside, function(part) sprintf("%.2f to %.2f", part$low, part$high), "")
  list(
    vertex = list(w_p = vertex, se = se, ci_low = bounds[1], ci_high = bounds[2],
                  linear_predictor = value, score = stats::plogis(value)),
    is_maximum = maximum, is_inside = inside,
    plw = if (maximum && inside) vertex^(1 / POWER) else NA,
    plw_ci_low = if (maximum && inside) plw[1] else NA,
    plw_ci_high = if (maximum && inside) plw[2] else NA,
    interval = if (clear) "delta" else "fieller", fieller = fieller,
    predicted_score = list(at_w_p_0 = predicted(0), at_w_p_1 = predicted(1)),
    note = if (!maximum) "no maximum: the fitted parabola opens upward"
      else if (!inside) sprintf("no maximum inside (0, 1): the vertex lies at w_p = %.3f, so the fit is best at w_p = %d",
                                vertex, as.integer(vertex >= 1))
      else if (!clear) sprintf("maximum inside (0, 1), but the bend is not clear of zero: Fieller's set in w_p is %s",
                               if (length(spans)) paste(spans, collapse = " and ") else "not known")
      else if (isTRUE(bounds[1] > 0 && bounds[2] < 1)) "maximum inside (0, 1)"
      else "maximum inside (0, 1), but its interval reaches the border and was cut there"
  )
}

# Test of the polynomial as one term of two degrees of freedom: type II Wald chi-square (`Anova`, as in the paper).
# The same statistic over 2 against F(2, benchmarks - 1) allows for the few benchmarks that the slopes vary over.
# It is no luxury: with thirteen benchmarks and no effect, the chi-square rejects in about 10 % of data sets at the
# 5 % level, the F in about 5 % (benchmarks/bench_regression_calibration.py).
wald_test <- function(model, terms, benchmarks) {
  if (!isNamespaceLoaded("car")) loadNamespace("car")
  found <- capturing(car::Anova(model, type = "II"))
  if (is.null(found$value)) return(list(chi_square = NA, df = 2, p = NA, p_f = NA, error = found$error))
  row <- found$value[terms$poly, ]
  list(chi_square = row$Chisq, df = row$Df, p = row[["Pr(>Chisq)"]],
       p_f = if (benchmarks > 2) stats::pf(row$Chisq / row$Df, row$Df, benchmarks - 1, lower.tail = FALSE) else NA)
}

# Likelihood ratio against the model without the fixed polynomial; its random effects stay.
likelihood_ratio_test <- function(model, terms, data) {
  null <- fit_once(model_formula(terms, with_poly = FALSE), data, "nlminb", se = FALSE)
  statistic <- 2 * (log_likelihood(model) - null$flags$loglik)
  list(chi_square = statistic, df = 2, null_converged = null$flags$converged, null_warnings = null$flags$warnings,
       p = if (is.na(statistic)) NA else stats::pchisq(max(statistic, 0), 2, lower.tail = FALSE))
}

# A variance of zero or a correlation of one: the data does not support this many random effects. It raises no
# warning by itself, but is what most warnings of these models come from.
is_singular <- function(model) {
  any(vapply(glmmTMB::VarCorr(model)$cond, function(block) {
    correlation <- attr(block, "correlation")
    any(attr(block, "stddev") < 1e-3) || any(abs(correlation[lower.tri(correlation)]) > 0.999)
  }, NA))
}

random_effects <- function(model) {
  lapply(glmmTMB::VarCorr(model)$cond, function(block) {
    sd <- attr(block, "stddev")
    names(sd) <- sub("^poly\\(.*\\)1$", "poly_1", sub("^poly\\(.*\\)2$", "poly_2", names(sd)))
    correlation <- attr(block, "correlation")
    list(sd = as.list(sd), correlation = if (length(sd) > 1) as.list(correlation[lower.tri(correlation)]) else list())
  })
}

# One model with everything that may be said about it; `model` is left in for the residual tests.
describe_fit <- function(data, name, structure, basis, squeeze, alpha) {
  data$score <- squeeze_scores(data$score, squeeze)
  terms <- model_terms(data, structure, basis)
  formula <- model_formula(terms)
  judged <- name == "main" || structure %in% c(REDUCED, "by_cell") # only these are worth a second optimiser and a second test
  fitted <- fit_ladder(formula, data, if (judged) names(OPTIMIZERS) else "nlminb")
  result <- c(
    list(name = name, formula = paste(deparse(formula, width.cutoff = 500), collapse = " "), structure = structure,
         basis = basis, squeeze = squeeze, dropped_terms = terms$dropped),
    fitted$flags["converged"],
    list(error = fitted$flags$error, default_optimizer_converged = fitted$attempts[[1]]$converged, singular = NA,
         flags = fitted$flags, attempts = fitted$attempts)
  )
  if (is.null(fitted$model)) return(list(result = result, model = NULL, data = data))
  raw <- raw_coefficients(fitted$model, data, basis)
  result$coefficients <- coefficient_table(raw, alpha)
  result$critical <- critical_plw(raw, alpha)
  result$test <- list(wald = wald_test(fitted$model, terms, nlevels(data$benchmark)))
  result$p <- result$test$wald$p # for readers that list many fits
  result$plw <- result$critical$plw
  if (judged) result$test$likelihood_ratio <- likelihood_ratio_test(fitted$model, terms, data)
  result$random_effects <- random_effects(fitted$model)
  result$singular <- is_singular(fitted$model)
  result$dispersion <- as.numeric(stats::sigma(fitted$model))
  result$loglik <- fitted$flags$loglik
  result$aic <- 2 * attr(stats::logLik(fitted$model), "df") - 2 * result$loglik
  list(result = result, model = fitted$model, data = data)
}

# ---- the whole analysis of one data set -----------------------------------------------------------------------

# constant  whether rows of constant benchmarks stay in; they do where there are no others
prepare_data <- function(data, constant = FALSE) {
  said <- if (is.null(data$constant)) rep(0, nrow(data)) else data$constant
  if (!constant && !all(said == 1)) data <- data[said == 0, ]
  for (name in c("benchmark", "ptlm", "seed")) data[[name]] <- factor(as.character(data[[name]]))
  # Sum contrasts: with ptlm as a fixed factor the intercept stays the mean over ptlms, as in the other models.
  if (nlevels(data$ptlm) > 1) stats::contrasts(data$ptlm) <- stats::contr.sum(nlevels(data$ptlm))
  data
}

# Each row changes one thing of the main fit, so that what moves the result can be named.
# whole  the data with constant benchmarks in; the same as `data` where there are none
sensitivity_rows <- function(data, whole, squeeze, alternatives, basis, reduced_models, alpha) {
  row <- function(name, structure = "full", with_basis = basis, with_squeeze = squeeze, with_data = data) {
    describe_fit(with_data, name, structure, with_basis, with_squeeze, alpha)$result
  }
  other <- if (basis == "raw") "orthogonal" else "raw"
  rules <- setdiff(unlist(alternatives), squeeze)
  rows <- lapply(rules, function(rule) row(paste("squeeze", rule), with_squeeze = rule))
  rows <- c(rows, list(row(paste(other, "polynomials"), with_basis = other),
                       row("random intercept too, (1 + poly | benchmark)", "with_intercept")))
  if (nlevels(data$ptlm) > 1 && nlevels(data$benchmark) > 1) {
    rows <- c(rows, list(row("an intercept for each PTLM and benchmark, (1 | ptlm:benchmark)", "by_cell")))
  }
  if (nrow(whole) > nrow(data)) rows <- c(rows, list(row("constant benchmarks in, at 0.5", with_data = whole)))
  if (!reduced_models) return(rows)
  rows <- c(rows, list(row("reduced: (1 | benchmark)", "intercepts"), row("reduced: (0 + w_p | benchmark)", "slope")))
  if (nlevels(data$ptlm) > 1) rows <- c(rows, list(row("reduced: ptlm as a fixed factor", "fixed_ptlm")))
  rows
}

package_version_text <- function(name) {
  if (requireNamespace(name, quietly = TRUE)) as.character(utils::packageVersion(name)) else NA
}

# One model alone, with its tests: what studies of the method itself (coverage, error rates) fit many times.
fit_model <- function(data, structure = "full", basis = "raw", squeeze = "none", alpha = 0.05) {
  describe_fit(prepare_data(data), "main", structure, basis, squeeze, alpha)$result
}

# squeeze, squeeze_alternatives  rules of squeeze_scores()
# poly                           basis of the main fit, raw | orthogonal
# alpha                          1 - alpha is the level of all intervals
# simulations, seed              of the residual tests
analyse_scores <- function(data, squeeze = "smithson_verkuilen", squeeze_alternatives = c("clamp_0.01", "clamp_0.001"),
                           poly = "raw", alpha = 0.05, reduced_models = TRUE, sensitivity = TRUE, simulations = 250,
                           seed = 123) {
  whole <- prepare_data(data, constant = TRUE)
  data <- prepare_data(data)
  main <- describe_fit(data, "main", "full", poly, squeeze, alpha)
  list(
    rows_fitted = nrow(data), fit = main$result,
    sensitivity = if (!sensitivity) list()
      else sensitivity_rows(data, whole, squeeze, squeeze_alternatives, poly, reduced_models, alpha),
    residuals = if (is.null(main$model)) list(implementation = NA, note = "no fit, so no residuals", tests = list())
      else residual_tests(main$model, main$data, simulations, seed),
    versions = list(R = paste(R.version$major, R.version$minor, sep = "."), glmmTMB = package_version_text("glmmTMB"),
                    TMB = package_version_text("TMB"), car = package_version_text("car"),
                    DHARMa = package_version_text("DHARMa"))
  )
}
