# The same analysis without Python:  Rscript run_glmm.R SCORES.csv RESULT.json [squeeze=…] [alpha=…] …
# SCORES.csv has the columns score, w_p, benchmark, ptlm, seed (and constant, see glmm.R); the settings are the arguments of analyse_scores(),
# lists with commas: squeeze_alternatives=clamp_0.01,clamp_0.001

main <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  for (name in c("json.R", "glmm.R", "residuals.R")) sys.source(file.path(dirname(script), name), globalenv())
  arguments <- commandArgs(TRUE)
  settings <- strsplit(arguments[-(1:2)], "=", fixed = TRUE)
  values <- lapply(settings, function(pair) utils::type.convert(strsplit(pair[2], ",")[[1]], as.is = TRUE))
  names(values) <- vapply(settings, function(pair) pair[1], "")
  data <- utils::read.csv(arguments[1], colClasses = c(benchmark = "character", ptlm = "character", seed = "character"))
  writeLines(to_json(do.call(analyse_scores, c(list(data), values))), arguments[2])
}

main()
