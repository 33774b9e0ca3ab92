$* 
newsB"x"bfossilpxÿÿÿÿÿÿÿÿÿ